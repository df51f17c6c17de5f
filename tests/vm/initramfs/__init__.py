"""A machine that lives in its initramfs."""
