"""Means of a fleet, its arms and their groups, shrunk towards each other: the common core.

``names``      names to rows and columns, capped in a way that no order of arrival changes
``cells``      evidence per arm and group as exact sums; also what every rule of forgetting does
``window``     the same over the last samples of each cell
``discount``   the same with shrinking weights
``gradient``   parameters in place of evidence, trained serially
``histogram``  where in their range the targets of a cell fell
``evidence``   names and cells together: samples in, belief out
``slopes``     how targets depend on features; ``feature_names`` their columns
``shrinkage``  from evidence to a posterior mean and variance per arm and group
``residuals``  from histograms to intervals
``normal``     the normal distribution's function and quantiles
``thompson``   from a posterior to the probabilities of a choice
"""
