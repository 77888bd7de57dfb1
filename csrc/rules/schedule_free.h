/* schedule_free.h -- the weights of the average in schedule-free rules (Defazio et al. 2024, arXiv:2405.15682).
 *
 * A rule includes it after update/rule.h; it has the hyper-parameters warmup_steps, r and weight_power, and carries
 * `averaged` and `largest_rate`. */

/* The learning rate of a step in the linear warm-up. */
static double warmed_up(const hyper *h, const step_inputs *step)
{
    const double t = (double)step->t;
    return step->learning_rate * (t < h->warmup_steps ? t / h->warmup_steps : 1.0);
}

/* What c = w_t / (w_1 + ... + w_t) is in step t, with w_t = t^r M_t^weight_power and M_t the largest rate so far. The
 * sum is carried in units of the last weight, so that neither large r nor tiny rates overflow or underflow. As in the
 * authors' code c is 0 as long as all weights are 0. */
static double share_of_average(const hyper *h, const step_inputs *step, double rate)
{
    const double before = step->carry->largest_rate, largest = rate > before ? rate : before;
    double past = step->carry->averaged;
    if (past > 0.0 && h->r > 0.0)
        past *= power((double)(step->t - 1) / (double)step->t, h->r);
    if (past > 0.0 && largest > before && h->weight_power > 0.0)
        past *= before > 0.0 ? power(before / largest, h->weight_power) : 0.0;
    step->carry->averaged = largest > 0.0 || h->weight_power == 0.0 ? 1.0 + past : 0.0;
    step->carry->largest_rate = largest;
    return step->carry->averaged > 0.0 ? 1.0 / step->carry->averaged : 0.0;
}
