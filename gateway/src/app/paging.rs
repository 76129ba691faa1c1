//! Long lists in pieces.
//!
//! A page ends with a cursor, which says behind which item the next one begins: by the
//! item's place in the order and not by a count, so that what comes and goes meanwhile
//! neither repeats nor hides another item. It is of one list, one filter and one order,
//! and refused with any other. Who asks without limit and cursor gets the whole list.

use super::AppError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway_api::Page;

const LIMIT_DEFAULT: usize = 200;
const LIMIT_MAX: usize = 1_000;
const CURSOR_CHARS_MAX: usize = 1_024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

/// One piece of a list, whose place each item has by `key`: different for any two.
pub(super) struct Pages<'a> {
    request: &'a PageRequest,
    mark: String,
    pub descending: bool,
}

impl<'a> Pages<'a> {
    /// `list` is all that decides what is in it, and in which order.
    pub fn of(request: &'a PageRequest, list: &str) -> Self {
        let mark = format!("{:08x}", crc32fast::hash(list.as_bytes()));
        Self { request, mark, descending: false }
    }

    fn limit(&self) -> Result<usize, AppError> {
        match self.request.limit {
            None if self.request.cursor.is_none() => Ok(usize::MAX),
            None => Ok(LIMIT_DEFAULT),
            Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            Some(limit) => Err(AppError::bad_request(format!(
                "limit is {limit}; it should be 1 to {LIMIT_MAX}. Leave it out for the whole list."
            ))),
        }
    }

    /// The key of the last item that was given out.
    fn after(&self) -> Result<Option<String>, AppError> {
        let Some(cursor) = &self.request.cursor else { return Ok(None) };
        let refused = || {
            AppError::bad_request(
                "cursor is none of this list with this filter and order. Take `next` of the page \
                 before as it is, with the same parameters, or begin without a cursor.",
            )
        };
        if cursor.len() > CURSOR_CHARS_MAX {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let text = String::from_utf8(bytes).map_err(|_| refused())?;
        let key = text.strip_prefix(&self.mark).ok_or_else(refused)?;
        Ok(Some(key.to_owned()))
    }

    fn cursor(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}{key}", self.mark))
    }

    pub fn cut<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> Result<Page<T>, AppError> {
        let (limit, after) = (self.limit()?, self.after()?);
        let total = items.len() as u64;
        let mut keyed: Vec<(String, T)> = items.into_iter().map(|i| (key(&i), i)).collect();
        keyed.sort_by(|(a, _), (b, _)| if self.descending { b.cmp(a) } else { a.cmp(b) });
        let is_before = |key: &String| match &after {
            None => false,
            Some(after) if self.descending => key >= after,
            Some(after) => key <= after,
        };
        let first = keyed.partition_point(|(key, _)| is_before(key));
        let has_more = keyed.len() - first > limit;
        let page: Vec<(String, T)> = keyed.into_iter().skip(first).take(limit).collect();
        let last = page.last().filter(|_| has_more);
        let next = last.map(|(key, _)| self.cursor(key));
        Ok(Page { items: page.into_iter().map(|(_, item)| item).collect(), next, total })
    }

    /// The newest so many, oldest first; the next page is of those before them. A limit
    /// beyond the most is cut to it, because that is how these lists always were.
    pub fn cut_newest<T>(
        &self,
        mut found: Vec<(u64, T)>,
        limit_default: usize,
        limit_max: usize,
    ) -> Result<Page<T>, AppError> {
        let total = found.len() as u64;
        if let Some(before) = self.after()? {
            found.retain(|(arrival, _)| ordered(*arrival) < before);
        }
        found.sort_by_key(|(arrival, _)| *arrival);
        let limit = self.request.limit.unwrap_or(limit_default).min(limit_max);
        let skip = found.len().saturating_sub(limit);
        let first = found.get(skip).filter(|_| skip > 0);
        let next = first.map(|(arrival, _)| self.cursor(&ordered(*arrival)));
        let items = found.into_iter().skip(skip).map(|(_, item)| item).collect();
        Ok(Page { items, next, total })
    }
}

/// The page of what is shown of these: who cuts first makes views of one page alone.
pub(super) fn shown<R, T>(page: Page<R>, view: impl FnMut(R) -> T) -> Page<T> {
    let Page { items, next, total } = page;
    Page { items: items.into_iter().map(view).collect(), next, total }
}

/// Numbers as text in their order.
pub(super) fn ordered(number: u64) -> String {
    format!("{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(items: &[u64], limit: usize, cursor: Option<String>, descending: bool) -> Page<u64> {
        let request = PageRequest { limit: Some(limit), cursor };
        let mut pages = Pages::of(&request, "numbers");
        pages.descending = descending;
        pages.cut(items.to_vec(), |number| ordered(*number)).unwrap()
    }

    fn refusal(request: &PageRequest, list: &str) -> String {
        let cut = Pages::of(request, list).cut(vec![1, 2, 3], |n: &u64| ordered(*n));
        cut.unwrap_err().to_string()
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_list(
            items in proptest::collection::btree_set(0_u64..50, 0..40),
            limit in 1_usize..12,
            descending in any::<bool>(),
        ) {
            let list: Vec<u64> = items.iter().copied().collect();
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let page = page(&list, limit, cursor, descending);
                prop_assert_eq!(page.total, list.len() as u64);
                prop_assert!(page.items.len() <= limit);
                all.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            if descending {
                all.reverse();
            }
            prop_assert_eq!(all, list);
        }

        #[test]
        fn no_cursor_is_a_fault(cursor in "\\PC{0,40}") {
            let request = PageRequest { limit: None, cursor: Some(cursor) };
            let _ = Pages::of(&request, "a").cut(vec![1_u64], |n| ordered(*n));
        }
    }

    #[test]
    fn what_goes_between_two_pages_hides_nothing() {
        let first = page(&[1, 2, 3, 4], 2, None, false);
        assert_eq!(first.items, [1, 2]);
        assert_eq!(page(&[1, 3, 4], 2, first.next, false).items, [3, 4]);
    }

    #[test]
    fn a_limit_out_of_range_and_a_cursor_of_another_list_are_refused() {
        for limit in [0, 1_001] {
            let request = PageRequest { limit: Some(limit), cursor: None };
            assert!(refusal(&request, "numbers").contains("1 to 1000"), "{limit}");
        }
        let next = page(&[1, 2, 3], 1, None, false).next;
        for cursor in [next, Some("not ours".into()), Some("A".repeat(2_000))] {
            let request = PageRequest { limit: None, cursor };
            assert!(refusal(&request, "others").contains("begin without a cursor"));
        }
    }
}
