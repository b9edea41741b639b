"""Knowledge transfer from the teacher to the student (Sun et al. 2020, sections 3.4 and 3.5).

`feature_maps`, `attention_maps`, `relations` and `predictions` are the objectives, `layer_pairs` the layers that are
compared, `strategies` the stages, `loss` the loss of a stage, `teachers` the models that teach, and `initialization`
copies the teacher's embeddings and heads into the student.
"""
