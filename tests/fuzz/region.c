/* region.c -- a parallel region of a library that is not fastopt. */
int count_threads(int wanted)
{
    int n = 0;
    #pragma omp parallel num_threads(wanted) reduction(+ : n)
    n += 1;
    return n;
}
