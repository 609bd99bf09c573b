// Package layers holds the shape of the house: which package may import which,
// and which library and which system call belongs to which package alone.
//
// The house is written down once, in layers.txt. The tests beside this file
// read every Go file of the module, whatever its build tags, and compare. A
// new package is a new word in that table; a rule that gets in the way is
// changed there, in review, and not worked around.
//
// Nothing imports this package; it consists of tests.
package layers
