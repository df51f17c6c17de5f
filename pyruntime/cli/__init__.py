"""The command line: argv becomes one call. Owns stdout, stderr and the exit status; one module per verb."""
