"""The kill oracle: programs of a known course are ended at any instant, and their traces
are held against what they themselves said of how far they were."""
