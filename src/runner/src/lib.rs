//! When it is computed.
