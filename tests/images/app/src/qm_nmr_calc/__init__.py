"""Stands in for qm-nmr-calc: what its images need of it, and no more."""
