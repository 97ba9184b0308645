//! The protocol: routes, checks of requests, error bodies.
