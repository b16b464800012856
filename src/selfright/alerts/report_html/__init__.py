"""The report as one HTML file: no script, nothing from elsewhere, light and dark.

``page``      puts it together: ``as_html(report, ...)``
``sections``  health, fleet, alerts, advice, retrainings, trends
``agents``    the charts and the table of agents, most in trouble first
``chart``     the drawings, as SVG
``markup``    escaping, tables, and the marks that say how something stands
``style``     the one style sheet
"""
