package pipeline

// job is one piece of work in a pool: an event or a batch, with J as its content. Except
// for data and held all of it belongs to the pool's lock. A worker has data to itself while
// the job runs, and the pool's owner before it is added and after it was taken as a result.
type job[J any] struct {
	data J
	// next links the job in the one list that it is in: those that wait, those of its
	// key, results, or free jobs.
	next *job[J]
	// before and after link it, in the order of arrival, with all jobs whose turn to leave
	// has not come.
	before, after *job[J]
	key           *jobKey[J]
	account       *account
	err           error // of the last attempt; nil if that was successful
	weight        int32 // how much of the account's window it takes
	attempt       int32 // the next one, counted from 1
	state         jobState
	held          bool // it does not count against the window
	troubled      bool // it has failed before
	listed        bool // it is in the order of arrival

	// Times are nanoseconds since the start of the pool.
	arrived int64
	due     int64 // the end of its pause
	failed  int64 // of the first failure
	seq     uint64
}

// jobState is how far a job has come.
type jobState uint8

const (
	jobWaiting jobState = iota // for a worker
	jobRunning
	jobPausing // before another attempt, or until its key's rate allows it
	jobBurying // it has failed for good, and waits for its dead letter
	jobDone    // it has a result
)

// jobList is a queue of jobs, linked by next.
type jobList[J any] struct {
	first, last *job[J]
	n           int
}

func (l *jobList[J]) push(j *job[J]) {
	j.next = nil
	if l.last == nil {
		l.first = j
	} else {
		l.last.next = j
	}
	l.last = j
	l.n++
}

func (l *jobList[J]) pushFront(j *job[J]) {
	j.next = l.first
	l.first = j
	if l.last == nil {
		l.last = j
	}
	l.n++
}

func (l *jobList[J]) pop() *job[J] {
	j := l.first
	l.first = j.next
	if l.first == nil {
		l.last = nil
	}
	j.next = nil
	l.n--
	return j
}

// jobKey is what is known of a key with unfinished jobs.
type jobKey[J any] struct {
	name    string
	queue   jobList[J] // jobs that no worker has, in order
	heldTo  *job[J]    // the jobs of queue up to this one are held; nil if that is not known
	running int        // jobs in the hands of one worker
	pausing bool       // the first of queue pauses, and the others behind it
	ready   bool       // in core.ready
	next    *jobKey[J]
}

// keyList is a queue of keys, linked by next.
type keyList[J any] struct {
	first, last *jobKey[J]
	n           int
}

func (l *keyList[J]) push(k *jobKey[J]) {
	k.next, k.ready = nil, true
	if l.last == nil {
		l.first = k
	} else {
		l.last.next = k
	}
	l.last = k
	l.n++
}

func (l *keyList[J]) pop() *jobKey[J] {
	k := l.first
	l.first = k.next
	if l.first == nil {
		l.last = nil
	}
	k.next, k.ready = nil, false
	l.n--
	return k
}

// account is the window of one subscription: of its size, asked is what was asked for and
// has not come, credit is what may be asked for now, and the rest is in the window.
type account struct {
	asked  int
	credit int
}

// due returns how much to ask for now, and counts it as asked. It is nothing as long as
// more is on its way than could be asked for: asking is for groups. hurry asks for what
// there is.
func (a *account) due(hurry bool) int {
	n := a.credit
	if n <= 0 || !hurry && n < a.asked {
		return 0
	}
	a.credit = 0
	a.asked += n
	return n
}
