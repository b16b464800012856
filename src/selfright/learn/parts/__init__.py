"""A full retraining in parts: condense each part of the log, join them, fit."""
