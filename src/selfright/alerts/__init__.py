"""What to tell: alerts that are told once, what to do about them, health, the report.

``life``       the states of an alert and the table of their changes
``alert``      the public record, PerformanceAlert
``finding``    what detectors and retrainings found, as an alert shows it
``message``    the same as sentences
``recommend``  what to do next, as data
``entry``      an alert as it is kept
``flapping``   which alerts keep coming and going
``book``       every alert there is: one per rule and agent, opened, counted, closed
``health``     one number for the fleet, with its parts
``report``     everything at once, as plain values or as text
"""
