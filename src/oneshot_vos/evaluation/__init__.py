"""Scores of predicted masks: the measures and the protocol of DAVIS 2016 and 2017."""
