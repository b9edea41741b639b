"""The numerics of fp16 and int8: calibration, channel scales, clipping, rounding."""
