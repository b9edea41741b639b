"""Knowledge transfer from the teacher to the student (Sun et al. 2020, sections 3.4 and 3.5).

`feature_maps`, `attention_maps` and `predictions` are the objectives, `strategies` their stages, `loss`
the loss of a stage, and `initialization` copies the teacher's embeddings and heads into the student.
"""
