"""The engine of the library `unstructured`, for the formats that a parsing profile gives to it.

What belongs here: running that library and turning its elements into blocks. What does not: anything that
knows a file format. It is an extra (``pip install 'rag-pipelines[unstructured]'``); no other room imports it.
"""
