//! What the stages exchange.
