//! How much of a definition a line of a report shows.

/// Two texts up to this many characters each stand on one line with the object's name: with a
/// name of 40 that is still a line of some 200.
pub(super) const ONE_LINE_CHARS: usize = 60;

/// What is shown of a longer text before the place where the two part, and after it: enough
/// to find the place, some five words.
pub(super) const CONTEXT_CHARS: usize = 30;

/// What is shown of the differing part itself: three lines of a terminal.
pub(super) const DIFFERING_CHARS: usize = 240;
