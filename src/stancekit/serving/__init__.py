"""The logged model as MLflow runs it: in Python, over HTTP and in Spark."""
