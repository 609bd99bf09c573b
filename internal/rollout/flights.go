package rollout

import "time"

const (
	// leastPatience is how long any model may take.
	leastPatience = time.Second
	// patienceFactor is how many times the stable version's p99 may pass.
	patienceFactor = 10
	// blindPatience holds until the stable version's times are known.
	blindPatience = 10 * time.Second
	// mostFlights bounds memory; requests beyond it are not watched.
	mostFlights = 1 << 16
)

// A flight is a request that has begun and not ended.
type flight struct {
	side     Side
	copied   bool
	patience time.Duration
	// original is what became of what this is a copy of.
	original Run
}

// A request and its copy are two flights.
type flightKey struct {
	id     uint64
	copied bool
}

type deadline struct {
	at  time.Time
	key flightKey
}

// flights are in the order of their deadlines. The queue also holds those that
// ended before an older one; the map says which.
type flights struct {
	queue []deadline
	open  map[flightKey]flight
}

// begin reports whether the request is watched.
func (f *flights) begin(o Observation, patience time.Duration) bool {
	key := flightKey{o.ID, o.Copied}
	if _, twice := f.open[key]; twice || len(f.queue) >= mostFlights {
		return false
	}
	f.open[key] = flight{o.Side, o.Copied, patience, o.Runs[1-o.Side]}
	f.queue = append(f.queue, deadline{o.At.Add(patience), key})
	for i := len(f.queue) - 1; i > 0 && f.queue[i].at.Before(f.queue[i-1].at); i-- { // patience has shrunk
		f.queue[i], f.queue[i-1] = f.queue[i-1], f.queue[i]
	}
	return true
}

// end closes a flight. One that was given up is not open.
func (f *flights) end(key flightKey) (flight, bool) {
	one, open := f.open[key]
	delete(f.open, key)
	return one, open
}

// giveUp closes the flights whose deadline has passed and hands them on.
func (f *flights) giveUp(now time.Time, hung func(flight)) {
	i := 0
	for ; i < len(f.queue); i++ {
		one, open := f.open[f.queue[i].key]
		if open && f.queue[i].at.After(now) {
			break
		}
		if open {
			delete(f.open, f.queue[i].key)
			hung(one)
		}
	}
	f.queue = f.queue[i:]
}
