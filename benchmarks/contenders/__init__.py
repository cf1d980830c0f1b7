"""The contenders: the same small service written for each framework, one file or folder each."""
