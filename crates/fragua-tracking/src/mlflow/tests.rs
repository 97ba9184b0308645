//! The routes, asked without a socket.
