"""The service: everything the faces can do, over HTTP on this machine.

``app``         puts the routes together: ``create_app(monitor, updater)``
``serve``       runs them until told to stop: ``serve(settings)``
``guard``       who may talk to it at all; ``scope``: which kind of key a route asks for
``access``      keys, and what is kept of them
``problem``     how a refusal looks; ``error_map``: which error becomes which
``body``        reading, inflating and decoding what is sent
``ingest``      runs and outcomes on the fast way in
``performance`` figures, alerts and reports; ``retraining``: asking for one
``agents``      taking agents out of the fleet
``learning``    choosing, predicting, versions
``probes``      liveness, readiness and what Prometheus scrapes
``openapi``     the description of it all; ``pages``: the status page and ``/docs``
"""
