// Part of Ropewalk, MIT licence.
int main() { return 0; }
