"""The suite on another kernel with another cgroup layout, in an emulated machine: `make vm`.

A guest is a Debian of systemd, runc, Podman and Python, made from the distribution's packages and kept between
runs, together with the memory of one that has booted. Needs neither KVM nor network to run; making it needs
root, apt and mmdebstrap.
"""
