"""What leaves: notifications and figures for other systems.

``outbox``      a bounded queue with a worker of its own: one per target, so that none waits
                for another
``address``     which network addresses a webhook may reach
``webhook``     posts alerts to one URL
``notifier``    tells callbacks and the webhook, off the hot path
``prometheus``  figures in the text format that Prometheus scrapes

A sink never raises into its caller and never loses an event of the log: what it could not
deliver is counted, logged as a warning and visible in its stats.
"""
