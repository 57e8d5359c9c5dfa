package penstock;

import com.lmax.disruptor.BatchEventProcessor;
import com.lmax.disruptor.BatchEventProcessorBuilder;
import com.lmax.disruptor.BlockingWaitStrategy;
import com.lmax.disruptor.EventHandler;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.WaitStrategy;
import com.lmax.disruptor.YieldingWaitStrategy;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.concurrent.CountDownLatch;

/**
 * Hand-over of events with the Disruptor, for the table of the command in the folder above.
 *
 * <p>Each line of standard input is {@code NAME WORK MAX BATCH N}: move the integers below N and
 * add them up. The response is {@code NANOSECONDS COUNT SUM}, or {@code cannot}.
 */
public final class Handover {
  private Handover() {}

  /** A slot of the ring. */
  static final class Event {
    long value;
  }

  /** Adds up what comes. */
  static final class Summer implements EventHandler<Event> {
    final long last;
    final CountDownLatch done = new CountDownLatch(1);
    long count;
    long sum;

    Summer(long last) {
      this.last = last;
    }

    @Override
    public void onEvent(Event event, long sequence, boolean endOfBatch) {
      sum += event.value;
      if (++count == last) {
        done.countDown();
      }
    }
  }

  /** Moves n events through a ring of at least max slots, of which batch are claimed at once. */
  static String run(WaitStrategy wait, boolean outside, int max, int batch, long n) throws InterruptedException {
    // Sizes of rings are powers of two.
    int size = Integer.highestOneBit(Math.max(1, max - 1)) << 1;
    // Pushes from outside may come from any thread, as they may in the other rows.
    RingBuffer<Event> ring =
        outside
            ? RingBuffer.createMultiProducer(Event::new, size, wait)
            : RingBuffer.createSingleProducer(Event::new, size, wait);
    Summer summer = new Summer(n);
    BatchEventProcessor<Event> processor =
        new BatchEventProcessorBuilder().build(ring, ring.newBarrier(), summer);
    ring.addGatingSequences(processor.getSequence());
    Thread consumer = new Thread(processor, "consumer");
    long begin = System.nanoTime();
    consumer.start();
    if (outside) {
      for (long v = 0; v < n; v++) {
        long at = ring.next();
        ring.get(at).value = v;
        ring.publish(at);
      }
    } else {
      for (long v = 0; v < n; ) {
        int many = (int) Math.min(batch, n - v);
        long high = ring.next(many);
        long low = high - many + 1;
        for (long at = low; at <= high; at++) {
          ring.get(at).value = v++;
        }
        ring.publish(low, high);
      }
    }
    summer.done.await();
    long took = System.nanoTime() - begin;
    processor.halt();
    consumer.join();
    return took + " " + summer.count + " " + summer.sum;
  }

  /** No hand-over: what filling and adding up cost alone. */
  static String loops(int batch, long n) {
    long[] events = new long[batch];
    long count = 0;
    long sum = 0;
    long begin = System.nanoTime();
    for (long next = 0; next < n; ) {
      int many = (int) Math.min(batch, n - next);
      for (int i = 0; i < many; i++) {
        events[i] = next++;
      }
      for (int i = 0; i < many; i++) {
        sum += events[i];
      }
      count += many;
    }
    return System.nanoTime() - begin + " " + count + " " + sum;
  }

  /** Runs commands until standard input ends. */
  public static void main(String[] args) throws IOException, InterruptedException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = in.readLine()) != null; ) {
      String[] w = line.trim().split(" ");
      if (w[0].equals("loops")) {
        System.out.println(loops(Integer.parseInt(w[3]), Long.parseLong(w[4])));
        System.out.flush();
        continue;
      }
      WaitStrategy wait = w[0].equals("disruptor-yielding") ? new YieldingWaitStrategy() : new BlockingWaitStrategy();
      System.out.println(
          run(wait, w[1].equals("W6"), Integer.parseInt(w[2]), Integer.parseInt(w[3]), Long.parseLong(w[4])));
      System.out.flush();
    }
  }
}
