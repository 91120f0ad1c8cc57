//! NDJSON: one text a line (<https://github.com/ndjson/ndjson-spec>).

use super::Splitter;

impl Splitter {
    pub(super) fn scan_lines(&mut self, ended: bool) -> bool {
        while self.pieces.len() < self.max_pieces {
            let Some(distance) = memchr::memchr(b'\n', &self.text[self.scanned..]) else {
                self.scanned = self.text.len();
                if ended {
                    self.finish(self.scanned, self.scanned);
                }
                return true;
            };
            let end = self.scanned + distance;
            self.finish(end, end + 1);
        }
        false
    }
}
