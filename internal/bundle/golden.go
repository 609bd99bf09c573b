package bundle

import (
	"encoding/json"
	"iter"
)

// Case is one golden request and what the original pipeline answered to it.
type Case struct {
	ID     Scalar          // a string or a number, unique in the set
	Why    string          // why the row was chosen: "hold-out", "boundary", "missing", …
	Body   json.RawMessage // the request, as a client would send it
	Answer json.RawMessage // {"id":…,"predictions":[…]} or {"id":…,"outputs":{…}}
}

// maxPending bounds the answers kept for requests that come later. Both files
// normally have one order, and nothing is kept.
const maxPending = 64 << 20

// HasGolden reports whether the bundle has a golden set.
func (b *Bundle) HasGolden() bool { return b.Manifest.Has(RequestsFile) }

// Golden yields the golden set in the order of its requests, each joined with
// its answer by id. An error ends it. Without a golden set it yields nothing.
func (b *Bundle) Golden() iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		if !b.HasGolden() {
			return
		}
		if err := b.join(func(c Case) bool { return yield(c, nil) }); err != nil {
			yield(Case{}, err)
		}
	}
}

// Example returns the body of the first golden request, and false where the
// bundle has no golden set.
func (b *Bundle) Example() ([]byte, bool, error) {
	if !b.HasGolden() {
		return nil, false, nil
	}
	requests, err := openLines(b.files, RequestsFile)
	if err != nil {
		return nil, false, err
	}
	defer requests.close()
	c, ok, err := requests.request()
	return c.Body, ok, err
}

// join reads both files side by side. It returns nil when yield wants no more.
func (b *Bundle) join(yield func(Case) bool) error {
	requests, err := openLines(b.files, RequestsFile)
	if err != nil {
		return err
	}
	defer requests.close()
	answers, err := openLines(b.files, AnswersFile)
	if err != nil {
		return err
	}
	defer answers.close()
	j := joiner{answers: answers, pending: map[Scalar]json.RawMessage{}, seen: map[Scalar]bool{}}
	for {
		c, ok, err := requests.request()
		if err != nil {
			return err
		}
		if !ok {
			return j.rest()
		}
		if c.Answer, err = j.answer(c.ID); err != nil {
			return err
		}
		if !yield(c) {
			return nil
		}
	}
}

// joiner finds answers by id, reading on as far as it must.
type joiner struct {
	answers *lines
	pending map[Scalar]json.RawMessage // read, but not asked for yet
	bytes   int
	seen    map[Scalar]bool // ids of all answers read
}

func (j *joiner) answer(id Scalar) (json.RawMessage, error) {
	if answer, ok := j.pending[id]; ok {
		delete(j.pending, id)
		j.bytes -= len(answer)
		return answer, nil
	}
	for {
		got, answer, ok, err := j.next()
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, refuse("%s has no answer of id %s, or two requests have that id: export the bundle again",
				AnswersFile, quote(id.Key()))
		case got == id:
			return answer, nil
		}
		j.pending[got] = answer
		if j.bytes += len(answer); j.bytes > maxPending {
			return nil, refuse("%s and %s have very different orders: write both in one order", RequestsFile, AnswersFile)
		}
	}
}

func (j *joiner) next() (Scalar, json.RawMessage, bool, error) {
	id, answer, ok, err := j.answers.answer()
	if err != nil || !ok {
		return Scalar{}, nil, false, err
	}
	if j.seen[id] {
		return Scalar{}, nil, false, refuse("%s holds the id %s twice", j.answers.place(), quote(id.Key()))
	}
	j.seen[id] = true
	return id, answer, true, nil
}

// rest sees to it that no answer is left without a request.
func (j *joiner) rest() error {
	for id := range j.pending {
		return unasked(id)
	}
	id, _, ok, err := j.next()
	if err == nil && ok {
		err = unasked(id)
	}
	return err
}

func unasked(id Scalar) error {
	return refuse("%s holds an answer of id %s, which no request has: export the bundle again",
		AnswersFile, quote(id.Key()))
}
