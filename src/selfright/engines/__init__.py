"""Where the parts of a full retraining are worked on: in this process, or in several."""
