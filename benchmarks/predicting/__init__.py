"""What ``benchmarks/predict.py`` and ``benchmarks/predict_scale.py`` are made of."""
