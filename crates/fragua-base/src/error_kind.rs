//! The few kinds of failure that a caller can act on.

/// The kind of a failure. Each protocol renders its own body; the status is decided here, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and stays wrong when repeated.
    InvalidInput,
    /// Nobody is known to be asking.
    Unauthenticated,
    /// The one who asks may not.
    Forbidden,
    /// The thing named does not exist.
    NotFound,
    /// The thing exists already, or is in a state that forbids the request.
    Conflict,
    /// A condition that the request named does not hold.
    PreconditionFailed,
    /// The body or one of its parts is over a limit.
    TooLarge,
    /// A queue or limit is full; the same request may succeed later.
    Overloaded,
    /// A part this one needs is not there now; the same request may succeed later.
    Unavailable,
    /// The request is understood and not offered.
    NotImplemented,
    /// A fault of ours. Details go to the log, never to the client.
    Internal,
}

impl ErrorKind {
    /// Returns the HTTP status code.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::InvalidInput => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::PreconditionFailed => 412,
            Self::TooLarge => 413,
            Self::Overloaded => 429,
            Self::Internal => 500,
            Self::NotImplemented => 501,
            Self::Unavailable => 503,
        }
    }
}
