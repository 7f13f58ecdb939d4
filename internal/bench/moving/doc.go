// Package moving holds the recovery that people write with other libraries, and the
// same with this one, for docs/moving-here.md. Its tests put both through the same
// failures, in virtual time, so that what the page says of them is so.
package moving
