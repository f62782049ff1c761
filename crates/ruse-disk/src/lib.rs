//! What the guest takes for an SSD: host files behind block devices
