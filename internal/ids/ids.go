// Package ids makes ids that no other process makes: UUIDs of version 7 (RFC 9562),
// the time in milliseconds and 74 random bits. Later ones sort behind earlier ones, to
// the millisecond.
package ids

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// New returns a new id, such as 01932c07-209c-7f3a-9d4e-3a5f0e8b7c21.
func New() string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // it never fails: it ends the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(time.Now().UnixMilli())) //nolint:gosec // after 1970
	copy(b[:6], ms[2:])
	b[6] = 0x70 | b[6]&0x0f
	b[8] = 0x80 | b[8]&0x3f
	var s [36]byte
	hex.Encode(s[:], b[:4])
	hex.Encode(s[9:], b[4:6])
	hex.Encode(s[14:], b[6:8])
	hex.Encode(s[19:], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
