"""`make bench`: what each verb costs, side by side with the reference runtimes found on the machine."""
