//! How the text of an aspect is to be read when two servers wrote it.

/// How two texts of an aspect are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The same text, or a difference.
    Exact,
    /// An expression that the server writes from its parse tree: servers of different versions
    /// may write the same one with other casts, parentheses or function syntax.
    Expression,
    /// As [`Reading::Expression`], for whole queries, where versions differ in more ways.
    Query,
    /// Worth knowing, and no difference.
    Note,
    /// The thing exists from this major version on: between older servers it is not compared.
    Since(u32),
}

/// One aspect of an object, as one server wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) text: String,
    pub(crate) reading: Reading,
}
