//! How it is computed.
