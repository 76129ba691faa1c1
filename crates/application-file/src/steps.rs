//! Known-answer steps within the file.
//!
//! They are written as in a file of their own, so its reader reads them: one by one, for
//! each error to have its place.

use crate::error::Errors;
use crate::model::Located;
use crate::shape;
use known_answer::{FORMAT, KnownAnswerError, STEPS_MAX, Step, check_bounds, from_toml};
use serde::Serialize;
use toml::Spanned;

#[derive(Serialize)]
struct Alone<'a> {
    format: u32,
    step: [&'a shape::Step; 1],
}

pub fn read(steps: &[Spanned<shape::Step>], errors: &mut Errors<'_>) -> Vec<Located<Step>> {
    let mut all = Vec::new();
    // One more than may be, for the bounds to find it.
    for step in steps.iter().take(STEPS_MAX + 1) {
        match read_one(step.get_ref()) {
            Ok(read) => {
                let at = errors.place_of(&step.span());
                all.extend(read.into_iter().map(|value| Located { value, at }));
            }
            Err(what) => errors.add(&step.span(), what),
        }
    }
    let values: Vec<Step> = all.iter().map(|step| step.value.clone()).collect();
    if let (Err(error), Some(first)) = (check_bounds(&values), all.first()) {
        errors.add_at(first.at, error.to_string());
    }
    all
}

fn read_one(step: &shape::Step) -> Result<Vec<Step>, String> {
    let text = toml::to_string(&Alone { format: FORMAT, step: [step] })
        .map_err(|error| error.to_string())?;
    from_toml(&text).map_err(|error| match error {
        KnownAnswerError::Step { what, .. } => what,
        other => other.to_string(),
    })
}
