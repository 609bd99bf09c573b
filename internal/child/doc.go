// Package child is what the server knows of the processes that it starts from
// its own binary, to examine a model or to run one: the limits that they set
// themselves, that they end with the server, and how they ended, in words.
//
// cmd calls it on both sides, runtime/worker on the server's.
package child
