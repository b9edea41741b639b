"""The engine of a Ray cluster: its connection, the copy of the model on each node, and workers that may be lost.

Chunks go from this process to actors, and their answers come back; the chunks of a lost actor go to another one. This
is not a Ray Data pipeline: with actors, one of Ray 2.60 did not continue after a node of a full cluster was killed,
within the 5 minutes that it was given. Ray gives the chunks of a lost actor to that actor alone, once it runs again,
and it cannot run again without a free core (ray-project/ray issue 32489).
"""
