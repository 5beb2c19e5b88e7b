//! The SQL texts of statements for one row, each written once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::RowChange;
use crate::limits::SQL_TEXTS;
use crate::plan::{Statement, one_row, rows_of};
use crate::route::Route;
use crate::shape::Shape;
use crate::sql::{Rows, Slot, Template, template};

/// SQL texts that were written before in this batch.
#[derive(Default)]
pub(crate) struct Texts {
    /// By the address of the route, which stands as long as its batch, and the shape.
    by_shape: HashMap<(usize, Shape), Text>,
}

/// A statement's text, and where its parameters come from.
pub(crate) type Text = (Arc<str>, Arc<[Slot]>);

impl Texts {
    /// The statement of one change; `None` when the stream did not send what it needs.
    pub(crate) fn statement<'a>(
        &mut self,
        route: &Route,
        change: &'a RowChange,
    ) -> Option<Statement<'a>> {
        let shape = Shape::of_change(route, change)?;
        let text = self.text(route, shape);
        Some(one_row(&text, rows_of(change)))
    }

    pub(crate) fn text(&mut self, route: &Route, shape: Shape) -> Text {
        let key = (std::ptr::from_ref(route).addr(), shape);
        if let Some(text) = self.by_shape.get(&key) {
            return text.clone();
        }
        if self.by_shape.len() >= SQL_TEXTS {
            self.by_shape.clear();
        }
        let text = shared(template(route, &key.1, Rows::One));
        self.by_shape.insert(key, text.clone());
        text
    }
}

/// A text that many statements share.
pub(crate) fn shared(written: Template) -> Text {
    (written.sql.into(), written.slots.into())
}
