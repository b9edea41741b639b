"""Knowledge transfer from the teacher to the student (Sun et al. 2020, sections 3.4 and 3.5).

The objectives are `feature_maps`, `attention_maps` and `predictions`; `strategies` says in which stages they are
trained, `handover` what the student gets from the teacher as it is.
"""
