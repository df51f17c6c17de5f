"""The conductors: what each verb does, from the record on disk to the processes it stands for."""
