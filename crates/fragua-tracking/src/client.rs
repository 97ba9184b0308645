//! A client of the protocol, for any MLflow server.
