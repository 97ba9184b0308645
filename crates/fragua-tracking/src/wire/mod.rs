//! JSON types of the protocol, for the server and the client.
