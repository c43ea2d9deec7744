// Package sqlite3 stands in for a driver that needs a C compiler. The server asks it one thing, whether an error is the
// driver's; its database is MariaDB, so none is.
package sqlite3

// ErrNo is the number of an error.
type ErrNo int

// ErrConstraint would be a row that breaks a constraint.
const ErrConstraint ErrNo = 19

// Error would be the driver's.
type Error struct{ Code ErrNo }

func (e Error) Error() string { return "sqlite3" }
